"""The deliberate bugs still fit the code. That each is found takes a minute: python tests/mutations.py."""

from __future__ import annotations

import pytest
from mutations import MUTATIONS, Mutation, mutated


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_deliberate_bug_is_code_that_runs(mutation: Mutation) -> None:
    compile(mutated(mutation), mutation.module, "exec")
