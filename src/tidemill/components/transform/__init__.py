"""Examples become features: a preprocessing function is fitted and applied."""
