"""From a trained student to the int8 folder that devices load. Needs the [server] extra."""
