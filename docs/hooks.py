"""Pages of keys, made from the models when the site is built, and links to files of the repository kept out of it."""

from mkdocs.structure.files import File

from ran.reference.markdown import pages


def on_files(files, config):
    """Add a page per kind of file and per registry under reference/."""
    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}", content=text))
    return files
