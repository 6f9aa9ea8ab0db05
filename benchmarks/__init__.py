"""What bg_di costs, beside what it replaces. ``python -m benchmarks`` measures everything and checks the limits."""
