"""`serai prove`: the promises, put to the test on real processes by anyone who doubts them."""
