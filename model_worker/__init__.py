"""The planner process: backends behind one Protocol, and the application that serves one of them."""
