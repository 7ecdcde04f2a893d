"""How a prior and an observation are reconciled: one step, repeated."""
