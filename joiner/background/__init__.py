"""What runs in threads next to the join loop; none of it decides what a record says or blocks the loop."""
