# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Not in requirements.lock, as which build of torch fits is the machine's choice, and these come with it.
OF_TORCH := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

.PHONY: demo test check docs references dist format slow gpu audit lock install clean

demo: $(STAMP)  ## classical against neural receivers on a 3GPP link, with a report at the end
	$(BIN)/ran sim pusch-receivers --out runs/demo

test: $(STAMP)  ## all tests that run on 2 cores without a GPU
	$(BIN)/python -m pytest -n auto --dist loadfile

slow: $(STAMP)  ## the checks that take minutes to hours
	$(BIN)/python -m pytest -m slow

gpu: $(STAMP)  ## all that needs a CUDA device, in at most 9 minutes, into runs/gpu; the same command goes on
	$(BIN)/python -m ran.bench.gpu_session --out runs/gpu

check: $(STAMP)  ## format, lint, import contracts, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs: $(STAMP)  ## the documentation site in build/site; warnings and broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

references: $(STAMP)  ## recorded counts of receivers and channel families again; RECORD=1 writes those of today
	RECORD_REFERENCES=$(RECORD) $(BIN)/python -m pytest -m slow tests/references -n auto -rA

dist: $(STAMP)  ## wheel and source distribution in dist/
	$(BIN)/python -m build

audit: $(STAMP)  ## known vulnerabilities of what is installed, and a bill of materials (CycloneDX) in build/sbom.json
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1 cyclonedx-bom==7.5.0
	build/audit/bin/cyclonedx-py environment --output-file build/sbom.json $(BIN)/python
	build/audit/bin/pip-audit --strict --skip-editable \
		--path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

lock:  ## requirements.lock: constraints.txt for the extra dev with the hashes that the index states; torch apart
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	build/lock/bin/uv pip compile pyproject.toml --quiet --extra dev --constraint constraints.txt --universal \
		--python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
		$(addprefix --no-emit-package ,$(OF_TORCH)) --output-file requirements.lock

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
