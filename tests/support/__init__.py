"""What the tests share: small tools, scripts for the planner, and a whole system on the loopback interface."""
