# In place of LOAD where the image needs a loader: it is executed once, without effect. The
# loader prints what is missing.
f("@NOLOADER@")if system{$e}"mitosis","mitosis:check=";
