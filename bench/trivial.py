"""The least a workflow can do for an update: answer it. Apart, so that the sandbox loads only this."""

from temporalio import workflow


@workflow.defn
class TrivialWorkflow:
    """Answers updates for as long as the server runs."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def step(self, number: int) -> int:
        return number
