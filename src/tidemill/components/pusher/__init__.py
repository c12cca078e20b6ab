"""A blessed model is put in its serving place, whole or not at all."""
