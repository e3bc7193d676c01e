"""What runs on machines: the agent in the ramdisk, edeploy-node on the installed system.

Standard library only, Python 3.9 and newer; shipped as one zipapp.
"""
