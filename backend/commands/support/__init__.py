"""What several commands share: reading options, building tasks, the steps of an evaluation."""
