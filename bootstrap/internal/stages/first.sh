# The first stage, in the order of its statements. It goes through a login shell that
# may be any of sh, bash, dash, ash, zsh, csh, tcsh, fish, within single quotes: so
# there is no single quote, exclamation mark (csh), or double backslash (fish) in it,
# and all of it has at most 1,024 bytes. What comes later than this line does not pass
# through that shell and is free of these rules.
#
# A word between two @ is filled in when the stage is made. "#:" begins a part.

#: marker
# In two pieces, so that an echo of this text is not taken for it.
m=@FRONT@"@BACK@"

#: clean
# Options and functions that sh has from its environment (bash's SHELLOPTS, and what was
# exported there) are undone, as far as they would change what follows.
set +aefuvxC
unset -f command cd printf

#: leave
# The working directory is left for /, so that no program and no module is looked for
# in it, and w keeps it for the child: a / where it was lost on the way (sudo from a
# home that the new user may not enter).
w=/
cd . 2>&- && w=$PWD
cd /

#: shortcut
# The way without an image: where the parent's executable can be seen (same file by
# device and inode, which a foreign process that has our number in another PID namespace
# is not), it is executed and there is no second stage. It is executed before without
# effect: it may need a loader, and a policy may forbid it.
[ "$(stat -Lc %d.%i @EXE@ 2>&-)" = @ID@ ] && {
	@KEEP@
	@EXE@ @CHECK@ 2>&- && cd "$w" && exec @EXE@ @ARGS@
}

#: keep
# The variables that the Go runtime reads have other names until the child runs.
for x in @VARIABLES@; do
	eval "[ \"\${$x+x}\" ]&&export \"@PREFIX@$x=\$$x\";unset $x"
done

#: ready
# A terminal is made a pipe.
[ -t 0 ] && stty raw -echo
u=$(id -u)
y=$(uname -sm)

#: cache
# The image in the cache, where that is asked for: see cache.go.
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
# The facts, as one line in one write; by echo where printf is neither a builtin (mksh,
# posh) nor there as a program.
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
# The loop that carries out plans. read takes its line byte by byte, so what follows the
# line stays unread. Lines that don't begin with the marker are passed over: newlines sent
# to wake a profile that reads, the rest of an image. A start method that had to replace the
# shell returns to this part, too.
while read -r p; do
	case $p in
	$m*)eval "${p#* }";;
	esac
done
