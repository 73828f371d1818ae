"""Value positioning: blind, equal, and never a cost centre on margin gains unawares."""

from contextlib import suppress
from datetime import timedelta
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commands import AnswerPosition, Stance
from contracts.contract import Role
from contracts.errors import TermsError, TransitionError
from contracts.events import Event, EventType
from lifecycle.value_position import VOICES, ValuePosition, answer
from tests.unit.lifecycle.conftest import beijing, plain, property_of, say, travels, unchanged

UNIT, GROUP = Role.UNIT_HEAD, Role.GROUP_MANAGEMENT
NAMES = {UNIT: "li.wei", GROUP: "gao.feng"}
START = beijing("2024-09-02 09:00")
ASKED = ValuePosition(margin_bet=True)


def says(
    role: Role, stance: Stance, *, exception: bool = False, assessed_by: str = "margin per year"
) -> AnswerPosition:
    return say(
        AnswerPosition,
        NAMES.get(role, "somebody"),
        START,
        role=role,
        stance=stance,
        other="shared service" if stance is Stance.OTHER else None,
        assessed_by=assessed_by,
        margin_exception=exception,
    )


def agreement(number: int, *roles: Role) -> dict[str, object]:
    """What is agreed: the stance, and how both said that its value is assessed (FND-03)."""
    return {
        "round": number,
        "stance": "profit_centre",
        "other": None,
        "assessed_by": {role.value: "margin per year" for role in roles},
    }


def after(position: ValuePosition, *answers: AnswerPosition) -> tuple[ValuePosition, list[Event]]:
    """The position and every event after these answers."""
    events: list[Event] = []
    for given_answer in answers:
        position, made = answer(position, given_answer)
        events += made
    return position, events


@pytest.mark.parametrize("role", VOICES)
def test_the_first_answer_tells_who_has_spoken_and_nothing_else_fnd_04(role):
    position, (heard,) = answer(ASKED, says(role, Stance.PROFIT_CENTRE, exception=True))

    assert heard.type is EventType.POSITION_ANSWERED
    assert heard.facts == {"round": 1, "role": role.value}
    assert position.missing() == [voice.value for voice in VOICES if voice is not role]


@pytest.mark.parametrize("role", VOICES)
def test_the_first_answer_looks_the_same_whatever_it_says_fnd_04(role):
    """Nothing in the event, its id and its time included, depends on the content."""
    seen = {
        answer(ASKED, says(role, stance, exception=exception, assessed_by=text))[1][
            0
        ].model_dump_json()
        for stance, exception, text in product(Stance, (True, False), ("margin", "cost per order"))
    }
    assert len(seen) == 1


@pytest.mark.parametrize(("first", "second"), list(permutations(VOICES)))
def test_two_equal_answers_agree_in_either_order_fnd_03(first, second):
    position, events = after(
        ASKED, says(first, Stance.PROFIT_CENTRE), says(second, Stance.PROFIT_CENTRE)
    )

    assert position.agreed is Stance.PROFIT_CENTRE
    assert position.missing() == []
    assert [event.type for event in events] == [
        EventType.POSITION_ANSWERED,
        EventType.POSITION_ANSWERED,
        EventType.POSITION_AGREED,
    ]
    assert events[-1].facts == agreement(1, first, second)


def test_two_different_answers_are_shown_together_and_asked_again_fnd_04():
    position, events = after(
        ASKED, says(UNIT, Stance.PROFIT_CENTRE), says(GROUP, Stance.COST_CENTRE)
    )

    assert events[-1].type is EventType.POSITION_DISAGREED
    assert events[-1].facts == {
        "round": 1,
        "stances": {"unit_head": "profit_centre", "group_management": "cost_centre"},
        "why": "the two answers differ",
    }
    assert position == ValuePosition(margin_bet=True, round=2)
    assert position.missing() == ["unit_head", "group_management"]


def test_a_later_round_can_agree_fnd_03():
    position, events = after(
        ASKED,
        says(UNIT, Stance.PROFIT_CENTRE),
        says(GROUP, Stance.OTHER),
        says(GROUP, Stance.PROFIT_CENTRE),
        says(UNIT, Stance.PROFIT_CENTRE),
    )

    assert position.agreed is Stance.PROFIT_CENTRE
    assert events[-1].facts == agreement(2, GROUP, UNIT)


def test_two_others_agree_when_they_mean_the_same_fnd_04():
    shared = says(UNIT, Stance.OTHER)
    agreed, _ = after(ASKED, shared, says(GROUP, Stance.OTHER))
    assert agreed.agreed is Stance.OTHER
    another = says(GROUP, Stance.OTHER).model_copy(update={"other": "venture"})
    apart, _ = after(ASKED, shared, another)
    assert apart.round == 2


@pytest.mark.parametrize(
    ("stance", "other"), [(Stance.OTHER, None), (Stance.PROFIT_CENTRE, "shared service")]
)
def test_what_is_other_is_said_and_only_then(stance, other):
    unclear = says(UNIT, stance).model_copy(update={"other": other})
    with pytest.raises(TermsError, match="expected `other` to say what"):
        answer(ASKED, unclear)


def test_nobody_answers_twice_in_a_round_fnd_04():
    position, _ = answer(ASKED, says(UNIT, Stance.PROFIT_CENTRE))

    with pytest.raises(TransitionError, match=r"answered in round 1; .* for group_management"):
        answer(position, says(UNIT, Stance.COST_CENTRE))


@pytest.mark.parametrize("role", [role for role in Role if role not in VOICES])
def test_only_the_unit_and_the_group_have_a_voice_fnd_03(role):
    with pytest.raises(TransitionError, match="expected unit_head or group_management"):
        answer(ASKED, says(role, Stance.PROFIT_CENTRE))


def test_what_is_agreed_is_not_answered_again():
    position, _ = after(ASKED, says(UNIT, Stance.OTHER), says(GROUP, Stance.OTHER))

    with pytest.raises(TransitionError, match="the value position is agreed: other"):
        answer(position, says(UNIT, Stance.PROFIT_CENTRE))


@pytest.mark.parametrize(("unit", "group"), list(product((True, False), repeat=2)))
def test_a_cost_centre_is_bet_on_margin_gains_only_when_both_sign_the_exception_fnd_04(unit, group):
    position, events = after(
        ASKED,
        says(UNIT, Stance.COST_CENTRE, exception=unit),
        says(GROUP, Stance.COST_CENTRE, exception=group),
    )

    if unit and group:
        assert position.agreed is Stance.COST_CENTRE
    else:
        assert (position.agreed, position.round) == (None, 2)
        assert "margin gains" in events[-1].facts["why"]


@pytest.mark.parametrize(
    ("margin_bet", "stance"),
    [
        (False, Stance.COST_CENTRE),  # bet on cost saving
        (True, Stance.PROFIT_CENTRE),
        (True, Stance.OTHER),
    ],
)
def test_without_a_cost_centre_on_margin_gains_no_exception_is_needed_fnd_04(margin_bet, stance):
    position, _ = after(
        ValuePosition(margin_bet=margin_bet), says(UNIT, stance), says(GROUP, stance)
    )
    assert position.agreed is stance


def test_after_a_long_pause_both_are_asked_anew_about_the_same_bet():
    agreed, _ = after(ASKED, says(UNIT, Stance.OTHER), says(GROUP, Stance.OTHER))

    again = agreed.reopened()

    assert again == ValuePosition(margin_bet=True, round=2)
    with pytest.raises(TransitionError, match="answered in round 2"):
        after(again, says(UNIT, Stance.OTHER), says(UNIT, Stance.OTHER))


@property_of
@given(
    margin_bet=st.booleans(),
    answers=st.lists(
        st.tuples(
            st.sampled_from([*VOICES, *VOICES, Role.EXPERT]),
            st.sampled_from(Stance),
            st.booleans(),
        ),
        max_size=12,
    ),
)
def test_a_stance_is_on_record_only_when_both_answers_of_its_round_are_in_fnd_04(
    margin_bet, answers
):
    position = ValuePosition(margin_bet=margin_bet)
    log: list[Event] = []
    for minutes, (role, stance, exception) in enumerate(answers):
        command = says(role, stance, exception=exception).model_copy(
            update={"at": START + timedelta(minutes=minutes)}
        )
        with unchanged(position, command), suppress(TransitionError):
            position, made = answer(position, command)
            assert plain(made)
            log += made

    assert travels(position)
    heard: dict[int, set[str]] = {}
    for event in log:
        if event.type is EventType.POSITION_ANSWERED:
            assert event.facts.keys() == {"round", "role"}
            roles = heard.setdefault(event.facts["round"], set())
            assert event.facts["role"] not in roles
            roles.add(event.facts["role"])
        else:
            assert heard[event.facts["round"]] == {"unit_head", "group_management"}
    if position.agreed:
        assert {given_answer.stance for given_answer in position.answers.values()} == {
            position.agreed
        }
    disagreements = [event for event in log if event.type is EventType.POSITION_DISAGREED]
    assert position.round == 1 + len(disagreements)
