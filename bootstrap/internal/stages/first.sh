# The first stage, in the order of its statements. It is a word in single quotes for the login
# shell, which may be sh, bash, dash, ash, zsh, csh, tcsh or fish. So it has no single quote, no
# exclamation mark (csh) and no double backslash (fish). As sent, it has at most 1,024 bytes.
# Plans and scripts that are sent later don't pass through the login shell, and are free of
# these rules.
#
# A word between two @ is filled in when the stage is made. "#:" begins a part.

#: marker
# The marker is in two pieces, so that an echo of this text is not taken for the marker.
m=@FRONT@"@BACK@"

#: clean
# sh may have options and functions from its environment (bash's SHELLOPTS, exported functions).
# Those that would change the rest of the stage are undone.
set +aefuvxC
unset -f command cd printf

#: leave
# The stage leaves the working directory for /, so that nothing looks for programs or modules
# there. w keeps the directory for the child. It is / where the directory was lost on the way,
# as by a sudo from a home that the new user may not enter.
w=/
cd . 2>&- && w=$PWD
cd /

#: shortcut
# The way without an image: if the parent's executable can be seen here, it is executed, and
# there is no second stage. Device and inode must be equal, since another PID namespace may have
# a foreign process with the parent's number. First it is executed once without effect: it may
# need a loader, and a policy may forbid it.
[ "$(stat -Lc %d.%i @EXE@ 2>&-)" = @ID@ ] && {
	@KEEP@
	@EXE@ @CHECK@ 2>&- && cd "$w" && unset OLDPWD && exec @EXE@ @ARGS@
}

#: keep
# The variables that the Go runtime reads get other names until the child runs.
for x in @VARIABLES@; do
	eval "[ \"\${$x+x}\" ]&&export \"@PREFIX@$x=\$$x\";unset $x"
done

#: ready
# A terminal is set to pass all bytes on unchanged, like a pipe.
[ -t 0 ] && stty raw -echo
u=$(id -u)
y=$(uname -sm)

#: cache
# The image in the cache, if the caller has asked for the cache: see cache.go.
h=@HASH@
c=${XDG_CACHE_HOME:-$HOME/.cache}/mitosis
f=$c/$h-${y#* }
s=/proc/$$/fd/8
[ -L "$c" ] || [ -L "$f" ] || {
	[ -f "$f" ] && {
		case $(ls -lLd $s;cd "$c"&&ls -ld .) in
		-r?x------*d???------*)
			[ -O $s ] && [ -O "$c" ] &&
			case $(openssl dgst -sha256 -r <$s 2>&-||sha256sum <$s||shasum -a 256 <$s) in
			$h*)
				$s @CHECK@ && { @DO@; }
			esac
		esac
	} 8<"$f"
}

#: facts
# The facts, as one line in one write. echo prints them where there is no printf: mksh and posh
# have no builtin, and the program may be missing.
t=
[ -e /proc/self/fd ] || t=" @NOPROC@"
d=
for x in @TOOLS@; do
	command -v $x >/dev/null 2>&1 && t="$t $x"
done
for x in "$XDG_RUNTIME_DIR" /dev/shm /run/user/$u /run /tmp; do
	[ -w "$x/" ] && d="$d $x"
done
x="$m hi 1 ${y:-? ?} ${u:-?}$t /$d ."
printf "\n%s\n" "$x" || echo "$x"

#: loop
# The loop that carries out plans. read takes its line byte by byte, so the bytes behind the line
# stay unread. Lines that don't begin with the marker are passed over: newlines that were sent to
# wake a profile that reads, and the rest of an image. A start method that had to replace the
# shell returns to this part, too.
while read -r p; do
	case $p in
	$m*)eval "${p#* }";;
	esac
done
