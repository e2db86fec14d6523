"""recon: photos to an explorable, evaluated 3D scene, on any machine.

Import the sub-package that you need; this module stays light so that `recon --help` is instant.
"""

__version__ = "0.1.0"
