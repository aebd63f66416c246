# tollbridge: `make demo` runs the main job, `make test` passes the tests; each sets itself up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Hundreds of processes are started: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-long check bench bench-peers clean lock

setup: $(STAMP)

# With a C compiler the media plane's loops are compiled; without one numpy does the same, slower.
$(STAMP): lock/dev.txt pyproject.toml $(wildcard bridge/media/_*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r lock/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

demo: setup
	$(BIN)/tollbridge demo

# What keeps no real time: run by two processes.
CORES := tests/billing tests/bridge/conference tests/bridge/media tests/bridge/sip tests/bridge/drawing \
  tests/bridge/legstory tests/bridge/lab/test_audibility.py tests/bridge/lab/test_clips.py \
  tests/bridge/lab/test_story.py tests/bridge/lab/load/test_ears.py tests/test_tidy.py
# Stories, and calls that nobody listens to closely: they wait more than they compute. A file, or a
# story, goes to one of three processes.
CALLS := tests/bridge/net tests/bridge/web tests/bridge/lab/test_stories.py \
  tests/bridge/test_invoicing.py tests/bridge/test_server_callme.py \
  tests/bridge/test_server_controls.py tests/bridge/test_session_cli.py \
  tests/peers/test_sip_probe_calls.py tests/peers/test_sip_probes.py tests/test_cli.py
# What measures, loads, kills, runs jobs of its own or installs, which takes a network that leads
# somewhere: it has the machine alone.
ALONE := tests/bridge/bench tests/bridge/lab/load/test_run.py tests/bridge/lab/test_crew.py \
  tests/peers/test_crash.py tests/peers/test_sipp_conference.py tests/test_docker.py
# Side by side only where each process may have a network, and so all ports, of its own.
beside = -n $(shell unshare --net true 2>/dev/null && echo $(1) || echo 0) --dist loadfile
TESTS := $(BIN)/pytest -m "not long"

# Every gate, then every test but the long ones.
test: check
	$(TESTS) -n 2 $(CORES)
	$(TESTS) $(call beside,3) $(CALLS)
	$(TESTS) $(call beside,2) $(patsubst %,--ignore=%,$(CORES) $(CALLS) $(ALONE))
	$(TESTS) $(ALONE)

test-long: setup
	$(BIN)/pytest -m long

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup
	$(BIN)/tollbridge bench media
	$(BIN)/tollbridge bench billing

# Debian's Janus beside this bridge, with the same callers: apt-get install janus.
bench-peers: setup
	$(BIN)/tollbridge bench peers

# After a change of dependencies in pyproject.toml. `bench` stays out: PESQ needs a C compiler.
EXTRAS := --extra phone --extra wideband --extra recording --extra report --extra pdf --extra postgresql --extra nats --extra dev
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --no-strip-extras pyproject.toml $(EXTRAS) --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --output-file lock/dev.txt
	$(BIN)/uv pip compile --quiet --no-strip-extras pyproject.toml --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --output-file lock/run.txt

clean:
	rm -rf $(VENV) build bridge/media/_samples.*.so out .pytest_cache .mypy_cache .ruff_cache .hypothesis
