"""What every floor above stands on: the grid, noise, schedules, files and receipts, logs, devices."""
