# Takes the place of LOAD if the image needs a dynamic loader. The image is executed once,
# without effect, and this start method fails if the loader or a library is missing.
if os.spawnv(os.P_WAIT,"/proc/self/fd/%d"%d,["mitosis","mitosis:check="]): fail("@NOLOADER@")
