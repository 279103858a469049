"""The counter: records from tablets, checkout, what a tablet needs."""
