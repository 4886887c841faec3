"""What stands between billing and the world: the file of plans, and the quotas in memory."""
