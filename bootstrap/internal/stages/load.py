# In place of LOAD where the image needs a loader: it is executed once, without effect. The
# loader prints what is missing.
if os.spawnv(os.P_WAIT,"/proc/self/fd/%d"%d,["mitosis","mitosis:check="]): fail("@NOLOADER@")
