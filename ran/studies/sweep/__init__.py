"""An experiment over values of its keys: MCS, speed, delay spread, receivers' options, whatever it has."""
