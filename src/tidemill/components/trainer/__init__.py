"""A model is trained by user code, and made safe to hand on."""
