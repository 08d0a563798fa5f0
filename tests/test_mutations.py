"""The deliberate bugs still fit the code. That each is found takes a minute: python tests/mutations.py."""

from __future__ import annotations

import pytest
from mutations import MUTATIONS, Mutation, chosen, mutated


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_deliberate_bug_is_code_that_runs(mutation: Mutation) -> None:
    compile(mutated(mutation), mutation.module, "exec")


def test_names_choose_and_a_wrong_one_is_refused() -> None:
    assert chosen([]) == MUTATIONS
    assert chosen([MUTATIONS[3].name]) == [MUTATIONS[3]]
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS), "each has a name of its own"
    with pytest.raises(ValueError, match="'nonsense'"):
        chosen([MUTATIONS[3].name, "nonsense"])
