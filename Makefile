# Every target does its own set-up: a fresh machine needs Python >= 3.11 and make.
# .venv is what users get, and the test tools; .venv-server is the server stack, and the test tools.

export OPENBLAS_NUM_THREADS ?= 1

PYTEST_CLIENT = .venv/bin/python -m pytest --ignore=tests/server
PYTEST_SERVER = .venv-server/bin/python -m pytest tests/server
PIP = -m pip install --quiet --disable-pip-version-check --no-input

CLIENT = .venv/.client
DEV = .venv/.dev
SERVER = .venv-server/.server

.PHONY: ablation bench-reliability bench-scale help setup run test test-slow test-client test-server check bench format demo-bundle \
	screenshots clean lint lint-ruff lint-types lint-types-server lint-layers lint-spelling
.DELETE_ON_ERROR:

help:
	@echo "make run          set up the client and show the product with a sample person"
	@echo "make test         set up and run every test but the slow ones"
	@echo "make test-slow    the slow ones"
	@echo "make check        lint and tests, as in continuous integration"
	@echo "make lint|format  ruff, mypy, import contracts, spelling | rewrite the layout"
	@echo "make bench        print the benchmark tables; bench-reliability, bench-scale:"
	@echo "                  rewrite docs/reliability.md, docs/scale.md"
	@echo "make ablation ROW=depth-2   train and measure one row of the encoder's ablations"
	@echo "make demo-bundle  rebuild the sample catalogues' bundle; make screenshots: README's pictures"
	@echo "make setup|clean  both environments | remove them and every cache"

setup: $(DEV) $(SERVER)

run: $(CLIENT)
	@exec .venv/bin/python -m ondevice demo

# Parts go on after a failure, so that one run shows all of it; any failure fails the whole.
test: $(DEV) $(SERVER)
	@$(MAKE) --no-print-directory --keep-going lint test-client test-server

check: test test-slow

test-client: $(DEV)
	$(PYTEST_CLIENT) -m "not slow and not server and not bench" --durations=10

test-server: $(SERVER)
	$(PYTEST_SERVER) -m "not slow and not bench" --durations=10

test-slow: $(DEV) $(SERVER)
	@status=0; \
	$(PYTEST_CLIENT) -m "slow and not server and not bench" --durations=10 || status=$$?; \
	$(PYTEST_SERVER) -m "slow and not bench" --durations=10 || { code=$$?; \
		[ $$code -eq 5 ] || status=$$code; }; \
	exit $$status

lint: lint-ruff lint-types lint-types-server lint-layers lint-spelling

lint-ruff: $(DEV)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check --quiet .

lint-types: $(DEV)
	.venv/bin/mypy --explicit-package-bases ondevice tests --exclude tests/server

lint-types-server: $(SERVER)
	.venv-server/bin/mypy --explicit-package-bases server_tools tests/server

lint-layers: $(DEV)
	.venv/bin/lint-imports --no-cache

lint-spelling: $(DEV)
	.venv/bin/codespell --config .codespellrc

format: $(DEV)
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: $(DEV) $(SERVER)
	$(PYTEST_CLIENT) -m "bench and not server" -s -q
	.venv-server/bin/python -m pytest tests/bench -m "bench and server" -s -q

bench-reliability: $(DEV)
	.venv/bin/python -m tests.bench.reliability ondevice/docs/reliability.md

ablation: $(SERVER)
	.venv-server/bin/ondevice-server ablation models/encoder/ablations/$(ROW).toml --out models/encoder

bench-scale: $(DEV)
	.venv/bin/python -m tests.bench.scale ondevice/docs/scale.md

demo-bundle: $(SERVER)
	.venv-server/bin/ondevice-server base-space
	.venv-server/bin/python -m server_tools.publish.demo

screenshots: $(DEV)
	.venv/bin/python -m tests.tui.screenshots ondevice/docs/screenshots

clean:
	rm -rf .venv .venv-server .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf .coverage htmlcov dist build snapshot_report.html *.egg-info
	find ondevice server_tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. The stamps are newer than what they were made from, so a warm run costs nothing.

$(CLIENT): pyproject.toml requirements/client.txt requirements/venv.sh
	@sh requirements/venv.sh .venv
	@started=$$(date +%s); .venv/bin/python $(PIP) -c requirements/client.txt -e . \
	&& .venv/bin/python -m compileall -q ondevice \
	&& echo "client ready: $$(( $$(date +%s) - started )) s," \
		"$$(du -sm .venv | cut -f1) MB in .venv" >&2
	@touch $@

$(DEV): $(CLIENT)
	@echo "adding the hub and the test tools to .venv" >&2
	@.venv/bin/python $(PIP) -c requirements/client.txt -e ".[hub,dev]"
	@touch $@

# torch alone, first and pinned: as somebody's dependency, pip may choose a build of several GB.
$(SERVER): pyproject.toml requirements/server.txt requirements/venv.sh
	@sh requirements/venv.sh .venv-server
	@echo "setting up the server stack in .venv-server, about 2 GB: minutes" >&2
	@.venv-server/bin/python $(PIP) -c requirements/server.txt torch
	@.venv-server/bin/python $(PIP) -c requirements/server.txt -e ".[server,dev]" \
		opendp dp-accounting tink atheris 'moto[s3]' flask flask-cors
	@touch $@
