# Prints what is below the current directory, one line for each path; `ctl` holds what is on the controller.
find . -mindepth 1 \( -path ./ctl -prune -o -print \) | LC_ALL=C sort | while IFS= read -r p; do
  case $p in ./ctl) continue;; esac
  n=$(printf %s "$p" | sed -E 's/\.[0-9]+\.[0-9]{4}-[0-9-]+@[0-9:]+~$/.BACKUP/')
  if [ -L "$p" ]; then echo "$n link $(readlink "$p") $(stat -c %u:%g "$p")"
  elif [ -d "$p" ]; then echo "$n directory $(stat -c '%a %u:%g' "$p")"
  else echo "$n file $(stat -c '%a %u:%g' "$p") $(sha256sum <"$p" | cut -c1-16) $(head -c 200 "$p" | od -An -c | tr -s ' \n' ' ' | head -c 400)"; fi
done
