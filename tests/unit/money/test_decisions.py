"""Every decision that the contract knows can be carried out."""

from activities import decisions  # noqa: F401
from activities.approvals import CARRY_OUT
from contracts.commercial import Decision


def test_each_kind_of_decision_has_what_carries_it_out() -> None:
    assert CARRY_OUT.keys() == set(Decision)
