# The beginning of each script for python. -c has put the working directory first among the
# places where python looks for modules, so it is removed. The module sys is built in.
import sys;sys.path=[x for x in sys.path if x[:1]=='/']
