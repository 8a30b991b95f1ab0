# Every target sets up what it needs, once. `make` alone lists the targets.
# PYTHON picks the Python of .venv, by name or path, or in words such as `py -3.12`: a .venv of another version is made
# anew. Without PYTHON an existing .venv stays. TORCH picks the build of PyTorch: auto, cpu, cuda or an index URL.
PYTHON ?= python3
TORCH ?= auto
KEEP := $(if $(filter file,$(origin PYTHON)),--keep)
NOTEBOOK ?=
LAB ?=
SUBMISSIONS ?=
REPLICATES ?= 20
RUN := .venv/bin/python
ifeq ($(OS),Windows_NT)
RUN := .venv/Scripts/python.exe
endif

# .venv is proved to work without these (STRAY in tools/setup.py), so nothing runs with them.
unexport PYTHONHOME PYTHONPATH PYTHONPLATLIBDIR PYTHONEXECUTABLE PYTHONSAFEPATH PYTHONCASEOK PYTHONOPTIMIZE PYTHONINSPECT
unexport PYTHONWARNINGS PYTHONDEVMODE PYTHONDEBUG PYTHONVERBOSE PYTHONPROFILEIMPORTTIME PYTHON_GIL

help: ## List the targets (this text)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make run NOTEBOOK=00    one notebook        make run TORCH=cuda      with the CUDA build of PyTorch"
	@echo "  make run PYTHON=python3.12  another Python  LABKIT_DEVICE=cpu make run  choose the device"

setup: ## Install everything into .venv (the other targets do this by themselves)
	@python='$(subst ','\'',$(PYTHON))'; \
	case $$python in "~/"*) python=$$HOME/$${python#"~/"};; esac; \
	command -v "$$python" > /dev/null && set -- "$$python" || set -- $$python; \
	TORCH="$(TORCH)" "$$@" tools/setup.py $(KEEP)

run: setup ## Run the curriculum in order, then print the table of all claims
	@$(RUN) tools/run.py $(NOTEBOOK)

test: setup ## Test labkit and its neighbours, the build, and every notebook as a regression test
	@$(RUN) -m pytest -n 2 --dist loadscope --no-loadscope-reorder --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg

lab: setup ## Open JupyterLab on your own copies of the notebooks and labs
	@$(RUN) tools/lab.py

notebooks: setup ## Rebuild the notebooks from their sources, execute them, renew what is derived
	@$(RUN) tools/curriculum.py build $(NOTEBOOK)
	@$(RUN) tools/derive.py

labs: setup ## Rebuild the labs from their sources, execute the solutions
	@$(RUN) tools/labs.py build $(LAB)
	@$(RUN) tools/derive.py

release: setup ## For a course: notebooks of the labs without hints and solutions, and a zip of them
	@$(RUN) tools/labs.py release $(LAB)

grade: setup ## For a course: grade SUBMISSIONS=folder into a gradebook and a page a student
	@$(RUN) -m labcheck.grade "$(SUBMISSIONS)"

long: setup ## Long runs, into data/results/: claims on fresh replicates, experiments too long for a notebook
	@$(RUN) tools/pilot.py --replicates $(REPLICATES) $(NOTEBOOK) $(LAB:%=lab%)
	@$(if $(LAB),,$(RUN) tools/long.py $(NOTEBOOK))

claims: setup ## Measure all claims once more, on REPLICATES=20 that nobody has looked at, and write their table
	@$(RUN) tools/claims.py --replicates $(REPLICATES) $(NOTEBOOK) $(LAB:%=lab%)
	@$(RUN) tools/derive.py

kill-rate: instructor ## How many mutants of the labs' solutions their checks refuse
	@$(RUN) tools/kill_rate.py $(LAB)

test-instructor: instructor ## Test that nbgrader can use the labs
	@$(RUN) -m pytest tests/test_instructor.py tests/test_kill_rate.py

instructor: setup
	@$(RUN) tools/setup.py --keep --also ".[instructor]"

book: with-book ## Build the site of everything, from what is committed: outputs/book/site/
	@$(RUN) tools/book.py

test-book: book ## Test the site in a real browser (Chromium), every page of it
	@$(RUN) -m pytest tests/test_book.py tests/test_site.py

with-book: setup
	@$(RUN) tools/setup.py --keep --also ".[book]"

check: setup ## Lint, format, spelling, rooms, notebooks in step with sources and within limits, stale list
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m codespell_lib
	@$(RUN) tools/rooms.py
	@$(RUN) tools/derive.py --check
	@$(RUN) tools/curriculum.py check
	@$(RUN) tools/labs.py check
	@$(RUN) tools/long.py --check
	@$(RUN) tools/cells.py
	@$(RUN) -m pytest --quiet tests/test_notebooks.py tests/test_labs.py tests/test_cells.py

lock: setup ## Renew requirements.txt from pyproject.toml
	@$(RUN) tools/setup.py --keep --also uv
	@$(RUN) tools/lock.py

clean: ## Remove what was installed and what runs have written (your workspace/ and the ledger stay)
	rm -rf .venv outputs/executed .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup run test lab notebooks labs release grade long claims kill-rate test-instructor instructor book test-book with-book check lock clean
.DEFAULT_GOAL := help
