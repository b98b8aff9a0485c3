"""What Conveyor costs, measured beside what people would use otherwise; see ``docs/explanation/performance.md``."""
