"""A module whose task is imported elsewhere."""

from bg_di import background_task


@background_task(name="imported", backend="durable")
async def imported() -> None: ...
