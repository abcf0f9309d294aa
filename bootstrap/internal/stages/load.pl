# Takes the place of LOAD if the image needs a dynamic loader. The image is executed once,
# without effect, and this start method fails if the loader or a library is missing.
f("@NOLOADER@")if j("mitosis:check=");
