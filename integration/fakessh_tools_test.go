//go:build linux

package integration

// tools are scripts that run inDirectories: $here is an empty directory at the desk, and $there
// one in the account.
var tools = []struct{ name, script string }{
	{"rsync", `
mkdir -p s/deep; seq 100000 >s/big; ln -s big s/link; ln s/big s/hard; chmod 640 s/big; touch -d @1 s/old; printf x >'s/a b'
truncate -s 1M s/sparse; mkfifo s/pipe; setfacl -m u:12345:rwx,d:u:12346:rx s/deep; setfacl -m u:12345:r 's/a b'; setfattr -n user.note -v 'of old' s/old s/deep
rsync -aHAX --no-o --no-g s/ web:"$there/t/"
` + sameTrees("s", "$there/t") + same("s", "$there/t", attributes) + `
getfacl -pn "$here/s/a b" | grep -q ^user:12345:r--; getfattr --only-values -n user.note s/deep | grep -q '^of old$'
rm s/old; echo more >>s/big
rsync -aHAX --no-o --no-g --delete s/ web:"$there/t/"
` + sameTrees("s", "$there/t") + `
rsync -aHAX --no-o --no-g -e ssh someone@web:"$there/t/" u/
` + sameTrees("u", "$there/t") + same("u", "$there/t", attributes)},

	{"rsync of 10,000 files", `
mkdir s u; (cd s; seq 10000 | split -l 1 -a 4 -)
rsync -a --no-o --no-g s/ web:"$there/t"
` + sameTrees("s", "$there/t") + `
ssh -n web "rm $there/t/xaaa*"
rsync -a --no-o --no-g --delete web:"$there/t/" s/
` + sameTrees("s", "$there/t") + `
test $(ls s | wc -l) -lt 10000 && test $(ls s | wc -l) -gt 0`},

	// rsync is interrupted as by a user, and then by the loss of its ssh. Each time the next
	// rsync goes on from the part that is there.
	{"rsync that is interrupted", `
head -c 32M /dev/urandom >big
for blow in INT KILL; do
	rm -f pid; cat >slow <<'e'
#!/bin/sh
echo $$ >pid; exec ssh "$@"
e
	chmod 755 slow
	rsync --partial --append --bwlimit=20000 -e ./slow big web:"$there/big" >/dev/null 2>&1 & p=$!
	before=$(ssh -n web "stat -c %s $there/big 2>/dev/null || echo 0")
	until ssh -n web "find $there -name '*big*' -size +$(((before >> 20) + 1))M" | grep -q .; do :; done
	if [ $blow = INT ]; then kill -INT $p; else kill -KILL $(cat pid); fi
	wait $p && exit 1
	until ssh -n web "test -s $there/big"; do :; done
	size=$(ssh -n web "wc -c <$there/big"); test $size -gt $before; test $size -lt 33554432
done
rsync --partial --append-verify --stats big web:"$there/big" >stats
ssh -n web cat "$there/big" | cmp - big
test $(sed -n 's/^Literal data: \([0-9,]*\).*/\1/p' stats | tr -d ,) -le $((33554432 - size))
rsync --partial --bwlimit=20000 web:"$there/big" back 2>/dev/null & p=$!
until find . -name '.back.*' -size +1M | grep -q .; do :; done
kill -TERM $p; wait $p && exit 1
until test -s back; do :; done; test $(wc -c <back) -lt 33554432
rsync --append-verify web:"$there/big" back; cmp big back`},

	{"git", gitSetup + `
ssh -n web "git init -q --bare -b main $there/r.git; git -C $there/r.git config uploadpack.allowFilter true; git init -q --bare -b main $there/sub.git"
git init -q sub; (cd sub; echo part >part; git add .; git commit -qm part; git push -q web:"$there/sub.git" main)
git init -q g; cd g; head -c 12M /dev/urandom >blob; git add .; git commit -qm one
git push -q ssh://app@web"$there/r.git" main; git tag v1; git push -q web:"$there/r.git" v1
git clone -q web:"$there/r.git" ../c1; cmp blob ../c1/blob
echo two >two; git add .; git commit -qm two; git push -q web:"$there/r.git" main
(cd ../c1; git fetch -q; test "$(git rev-list --count HEAD..origin/main)" = 1; git pull -q; test "$(cat two)" = two)
git submodule --quiet add web:"$there/sub.git" lib 2>/dev/null; git commit -qm three; git push -q web:"$there/r.git" main
git clone -q --recurse-submodules -j 4 web:"$there/r.git" ../c2 2>/dev/null; test "$(cat ../c2/lib/part)" = part
(cd ../sub; echo changed >part; git commit -qam changed; git push -q web:"$there/sub.git" main)
(cd ../c2; git submodule --quiet update --remote 2>/dev/null; test "$(cat lib/part)" = changed)
git clone -q --depth 1 ssh://web"$there/r.git" ../c3; test "$(git -C ../c3 rev-list --count HEAD)" = 1
git -C ../c3 fetch -q --unshallow; test "$(git -C ../c3 rev-list --count HEAD)" = 3
git clone -q --filter=blob:none --no-checkout web:"$there/r.git" ../c4; git -C ../c4 show HEAD:blob | cmp - blob
git push -q --force web:"$there/r.git" HEAD~1:main; git push -q web:"$there/r.git" :v1
env -u GIT_SSH_COMMAND -u GIT_SSH git -c core.sshCommand=ssh ls-remote -q web:"$there/r.git" | grep -q refs/heads/main
git push -q web:"$there/none.git" main 2>err && exit 1; grep -q 'does not appear to be a git repository' err`},

	{"20 clones at once", gitSetup + `
ssh -n web "git init -q $there/r && cd $there/r && seq 100000 >f && git add f && git -c user.name=a -c user.email=a@b commit -qm one"
for i in $(seq 20); do git clone -q web:"$there/r" $i & done; wait
for i in $(seq 20); do test "$(wc -l <$i/f)" = 100000; done`},

	{"scp", `
mkdir -p s/d; seq 100000 >s/d/f; echo x >s/x; chmod 600 s/x; ln -s nowhere "s/a b"; rm "s/a b"; echo y >"s/a b"
for o in -s -O; do
	scp -pqr $o s web:"$there/t"
	` + sameTrees("s", "$there/t") + `
	scp -pqr $o web:"$there/t" u
	` + sameTrees("u", "$there/t") + `
	scp -q $o scp://someone@web:99/"$there/t/x" s/d/f . ; cmp x s/x
	scp -q $o web:"$there/none" . 2>err && exit 1; grep -q 'No such file' err
	ssh -n web rm -r "$there/t"; rm -r u x f
	mkdir -m 700 p; scp -qr $o p web:"~/$(basename "$there")"; test "$(ssh -n web stat -c %a "$there/p")" = 700; rmdir p
	ssh -n web rmdir "$there/p"
done
scp -q -3 web:/etc/nsswitch.conf web:"$there/copy"; ssh -n web cmp /etc/nsswitch.conf "$there/copy"`},

	{"sftp", `
seq 100000 >f; head -c 1000 f >part; mkdir -p s/d; cp f s/d; echo x >s/x
sftp -q -b - web >out 2>err <<e
pwd
cd $there
put f g
chmod 600 g
symlink g l
ln g hard
rename g h
ls -l h
get h k
put part i
reput f i
get i i
lcd s
put -Rp d
put x
mkdir e
rename x e/y
get -Rp e
rm i
rm h
rm l
symlink hard m
rm e/y
rmdir e
df
-rm none
e
grep -q 'none: No such file or directory' err; test $(wc -l <err) = 1; test "$(ssh -n web readlink "$there/m")" = hard
cmp f k; cmp f i; cmp s/x s/e/y
head -c 1000 f >j; echo "reget $there/hard j" | sftp -q -b - web >/dev/null; cmp f j
head -n 2 out | grep -q 'Remote working directory: '; grep -q -e '-rw-------.* h$' out
ssh -n web "cd $there; cmp hard d/f; ls" >list; printf 'd\nhard\nm\n' | cmp - list
echo "get $there/none" | sftp -q -b - web 2>err >/dev/null && exit 1; grep -q 'not found' err`},

	{"sshfs", mountedAt("") + `
seq 100000 >m/f; seq 100000 | cmp - m/f; ssh web "cmp $there/f -" <m/f
mkdir -m 700 m/d; test "$(ssh -n web stat -c %a "$there/d")" = 700; mv m/f m/d/g; ln -s d/g m/l; chmod 640 m/d/g; echo more >>m/l; truncate -s 10 m/d/g
test "$(ssh -n web "cd $there; stat -c '%a %s' d/g; readlink l" | tr '\n' ' ')" = "640 10 d/g "
head -c 16M /dev/urandom >big; cp big m/big; cmp big m/big; cp -r m/d m/e; diff -r m/d m/e
rm -r m/d m/l; test "$(ls m | tr '\n' ' ')" = 'big e '
cat m/none 2>/dev/null && exit 1
` + unmounted},

	{"scripts", `
test "$(ssh -nl somebody -p 99 web 'echo $USER $LOGNAME $HOME $PWD')" = "$(ssh -n web 'echo $(id -un) $(id -un) ~ $(cd; pwd)')"
mkdir s; seq 10000 >s/f
tar cC s . | ssh web "mkdir $there/t && tar xC $there/t"
` + sameTrees("s", "$there/t") + `
ssh -n web "tar cC $there/t ." | tar xC "$here"; cmp f s/f
ssh web "cat >$there/g" <f; ssh web cat "$there/g" </dev/null | cmp - f
test -z "$(ssh web cat </dev/null)"
status() { s=0; ssh web "$@" </dev/null >/dev/null 2>&1 || s=$?; echo $s; }
test "$(status exit 42) $(status exit 256) $(status false) $(status none-such) $(status /etc/passwd) $(status 'kill -9 $$') $(status 'kill $$') $(status exit 255)" = '42 0 1 127 126 255 255 255'
test "$(printf '1\n2\n3\n' | while read i; do ssh -n web echo $i; done | tr '\n' ,)" = 1,2,3,
test "$(printf '1\n2\n3\n' | while read i; do ssh web "echo $i; cat"; done | tr '\n' ,)" = 1,2,3,
test "$(for i in 1 2 3; do ssh -o BatchMode=yes -o ConnectTimeout=5 web echo $i </dev/null; done | tr '\n' ,)" = 1,2,3,
test "$(ssh -n web 'echo out; echo err >&2' 2>err)" = out; test "$(cat err)" = err
test "$(ssh -n web yes 2>/dev/null | head -n 2 | tr '\n' ,)" = y,y,
test "$(printf 'echo a\nexit 7\n' | { s=0; ssh -T web || s=$?; echo $s; } | tail -n 2 | tr '\n' ,)" = a,7,`},
}

// gitSetup gives git a name and an address for commits.
const gitSetup = `
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git config --global init.defaultBranch main; git config --global core.looseCompression 0; git config --global pack.compression 0`
