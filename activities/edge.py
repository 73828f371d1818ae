"""Where our errors become Temporal's: a refusal is final, an outage is retried."""

from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from contracts.errors import EngagementError


class Edge(Interceptor):
    """Gives each domain error its class name as type, and lets only `Unavailable` be retried."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _EdgeInbound(next)


class _EdgeInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except EngagementError as refused:
            raise ApplicationError(
                str(refused), type=type(refused).__name__, non_retryable=not refused.retryable
            ) from refused
