# Each script for python begins with this: -c has put the working directory in front of
# the places where modules are looked for. sys is built in.
import sys;sys.path=[x for x in sys.path if x[:1]=='/']
