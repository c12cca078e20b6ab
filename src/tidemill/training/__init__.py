"""Training: what a run_fn is given, and the ready trainers that need none.

The executors of Trainer and Tuner call it: both train, the one to keep the model, the other to measure it. It
knows data handles, arrays and libraries; it must know neither artifacts' records nor the pipeline.
"""
