"""What people see, of runs that were and of runs that never were."""
