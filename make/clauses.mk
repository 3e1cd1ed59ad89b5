# SPDX-License-Identifier: BSD-2-Clause
.PHONY: check-clauses
check-clauses: | $B/need-gates ## the tests that docs/virtio-clauses.md names exist
	$Q$(PYTHON) scripts/clauses

lint: check-clauses
