"""A hold on money: what was placed is held, released or forfeited, and nothing else. Pure."""

from pydantic import BaseModel, ConfigDict

from contracts.errors import TransitionError
from contracts.money import Money


class Hold(BaseModel):
    """The buckets of one hold, net. Always: placed == held + released + forfeited."""

    model_config = ConfigDict(frozen=True)

    id: str
    placed: Money
    released: Money
    forfeited: Money

    @property
    def held(self) -> Money:
        return self.placed - self.released - self.forfeited

    @property
    def decided(self) -> Money:
        """What has left the hold, either way."""
        return self.released + self.forfeited

    def require(self, part: Money) -> None:
        """Refuse to decide about more than is still held.

        Raises:
            TransitionError: nothing, or more than held.
            TermsError: another currency.
        """
        if part.minor <= 0 or (self.held - part).minor < 0:
            raise TransitionError(
                f"hold {self.id}: found {part} {part.currency} to decide, "
                f"expected more than 0 and at most {self.held} still held"
            )
