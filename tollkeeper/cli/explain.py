"""`tollkeeper contract explain`: the whole contract in plain English and Chinese."""

from collections.abc import Sequence
from pathlib import Path

from contracts.contract import Contract
from contracts.document import Kind
from contracts.kinds import CONTRACTS
from contracts.outcome.outcome import Outcome, OutcomeContract
from contracts.words.engagement import engagement_page
from contracts.words.outcome import outcome_page
from contracts.words.page import Item, Page, Section
from contracts.words.said import Language, Said, say
from contracts.words.values import names
from lifecycle.order import ORDER
from tollkeeper.cli.contract import read
from tollkeeper.cli.screen import out


def explain(file: Path, /, *, language: Language | None = None) -> None:
    """Say the whole contract in plain words, for both parties to agree on.

    Parameters
    ----------
    file
        A contract in YAML or JSON.
    language
        One language alone; English and then Chinese, unless said.
    """
    kinds: Sequence[Kind[Contract | OutcomeContract]] = CONTRACTS
    page = explained(read(file, kinds))
    texts = [page.text(each) for each in ([language] if language else Language)]
    out.print("\n".join(texts), markup=False, end="")


def explained(contract: Contract | OutcomeContract) -> Page:
    """All that a contract says, and for outcome terms the order in which they are applied."""
    if isinstance(contract, Contract):
        return engagement_page(contract)
    page = outcome_page(contract)
    return Page(page.title, (*page.sections, _order(contract.outcome)))


def _order(outcome: Outcome) -> Section:
    intro = Said(
        "Each value is computed after those that it is made of. Where that leaves a choice, and for all "
        "that happens to amounts, a settlement follows this order.",
        "各数值均在其所依据的数值之后计算。除此之外，以及对金额的各项处理，结算均依下列次序进行。",
    )
    items = []
    for stage in ORDER:
        acting = list(stage.acting(outcome))
        here = say("Here: {names}.", "涉及：{names}。", names=names(acting))
        none = Said("Nothing is stated for it.", "本合同对此无约定。")
        head = Said(f"({stage.number})", f"（{stage.number}）")
        items.append(Item(head, (Said(stage.en, stage.zh), here if acting else none)))
    return Section(Said("The order of operations", "运算次序"), tuple(items), (intro,))
