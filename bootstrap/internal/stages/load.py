# Takes the place of LOAD if the image needs a dynamic loader. The image is executed once,
# without effect, and this start method fails if the loader or a library is missing.
p=os.fork()
if p==0:
    try: image(d,"mitosis:check=")
    finally: os._exit(127)
if os.waitpid(p,0)[1]: fail("@NOLOADER@")
