//go:build linux

package integration

import _ "embed"

//go:embed testdata/sshfs.py
var sshfsChecks string

// checked is a piece of script that works on the files in m in many ways.
var checked = `cat >sshfs.py <<'e'
` + sshfsChecks + `
e
python3 sshfs.py m "$there"
`

// mountedAt is a piece of script that mounts the directory there at m.
func mountedAt(options string) string {
	return `test -e /dev/fuse || mknod /dev/fuse c 10 229 || test -e /dev/fuse
mkdir -p m; sshfs ` + options + ` web:"$there" m
`
}

// unmounted is a piece of script that unmounts m, and waits until the process of sshfs has ended.
const unmounted = `fusermount3 -u m
tries=0; while pgrep -x sshfs -a | grep -q "$there"; do tries=$((tries + 1)); test $tries -lt 1000; done
`

// fileTools are scripts that use files of the far side. Like tools, they run inDirectories.
var fileTools = []struct{ name, script string }{
	{"sshfs with caches", mountedAt("") + checked + unmounted},
	{"sshfs without caches", mountedAt("-o cache=no,direct_io,no_readahead") + checked + unmounted},

	{"sshfs and rsync", mountedAt("") + `
mkdir -p s/deep; seq 100000 >s/big; ln -s big s/link; chmod 640 s/big; touch -d @1000000000 s/deep/old; printf x >'s/a b'; for i in $(seq 300); do echo $i >s/deep/$i; done
rsync -aJ --no-o --no-g s/ m/t/
echo more >>s/big; rm s/deep/1*; rsync -aJ --no-o --no-g --delete --inplace s/ m/t/
` + unmounted + `
touch -h -d @7 s/link; ssh -n web touch -h -d @7 "$there/t/link" # with -J rsync leaves times of links as they come
` + sameTrees("s", "$there/t")},

	{"sshfs and git", gitSetup + `
git config --global safe.directory "*"; git init -q g; cd g; head -c 3M /dev/urandom >blob; for i in $(seq 50); do echo $i >$i; done; git add .; git commit -qm one; cd ..
` + mountedAt("") + `
git clone -q g m/c; cd m/c; cmp blob "$here/g/blob"; echo two >two; git add .; git commit -qm two; git gc -q; git fsck 2>/dev/null; cd "$here"
git -C m/c push -q origin HEAD:two; test "$(git -C g show two:two)" = two
` + unmounted + `
ssh -n web "cd $there/c && cat .git/HEAD && wc -c <blob" >out; printf 'ref: refs/heads/main\n3145728\n' | cmp - out`},

	{"sftp with times, and copies there", `
echo x >f; touch -a -d 2001-01-01 f; touch -m -d 2002-02-02 f
before=$(stat -c '%X %Y' f)
printf 'put -p f %s/f\n' "$there" | sftp -q -b - web >/dev/null
test "$(ssh -n web stat -c "'%X %Y'" "$there/f")" = "$before"
printf 'get -p %s/f g\n' "$there" | sftp -q -b - web >/dev/null
test "$(stat -c '%X %Y' g)" = "$before"
head -c 20M /dev/urandom >big
sftp -q -b - web >out <<e
put -f big $there/big
copy $there/big $there/copy
ln -s copy $there/link
chmod -h 640 $there/copy
get $there/link back
ls -l $there/copy
e
cmp big back; ssh -n web cat "$there/copy" | cmp - big
grep -q "^-rw-r----- .* $(ssh -n web id -un) .* 20971520 .*copy$" out
scp -q web:"~$(ssh -n web id -un)/$(basename "$there")/f" h; cmp f h`},
}
