"""What a publisher runs: distil, quantise, train, build, sign, publish, evaluate."""
