"""Examples are summarised, column by column."""
