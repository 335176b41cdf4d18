"""Pages of keys, made from the models when the site is built; decision records and measurements in the navigation."""

from pathlib import Path

from mkdocs.structure.files import File

from ran.reference.markdown import pages

#: Folders whose pages come into the navigation by themselves, and what it calls them.
FOLDERS = {"decisions": "Decision records", "lab": "Measurements"}


def on_config(config):
    """Add every decision record and every log of measurements to the navigation, in the order of their names."""
    for folder, title in FOLDERS.items():
        found = sorted(Path(config.docs_dir, folder).glob("*.md"))
        config.nav.append({title: [f"{folder}/{page.name}" for page in found]})
    return config


def on_files(files, config):
    """Add a page per kind of file and per registry under reference/, and the pictures that the README has, too."""
    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}", content=text))
    root = Path(config.docs_dir).parent
    for picture in sorted(root.glob("notebooks/pictures/*.png")):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    return files
