# Prints what is below the current directory, one line for each path; `ctl` holds what is on the controller.
find . -mindepth 1 \( -path ./ctl -prune -o -print \) | LC_ALL=C sort | while IFS= read -r p; do
  n=$(printf %s "$p" | sed -E 's/\.[0-9]+\.[0-9]{4}-[0-9-]+@[0-9:]+~$/.BACKUP/')
  case $p in
  ./ctl) continue ;;
  esac
  if [ -L "$p" ]; then
    printf '%s link %s %s\n' "$n" "$(readlink "$p")" "$(stat -c %u:%g "$p")"
  elif [ -d "$p" ]; then
    printf '%s directory %s\n' "$n" "$(stat -c '%a %u:%g' "$p")"
  elif [ ! -f "$p" ]; then
    printf '%s other\n' "$n"
  else
    printf '%s file %s %s %s\n' "$n" "$(stat -c '%a %u:%g' "$p")" "$(sha256sum <"$p" | cut -c1-16)" \
      "$(head -c 100 "$p" | od -An -v -c | tr -d '\n' | tr -s ' ')"
  fi
done
