"""What the history of a board comes to: flow metrics as the Kanban Guide means them, and forecasts."""
