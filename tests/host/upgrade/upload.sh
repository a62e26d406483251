# Uploads a photograph as a phone does. What the server says that it has is in /root/accepted, and everything that was tried in
# /run/tried, with the time before and after.
begun=$(date +%s.%N)
echo "photograph $begun" >/run/photograph
sum=$(sha256sum </run/photograph)
code=$(curl -s -m 5 -o /run/refused -w '%{http_code}' -H "x-api-key: $(cat /root/key)" \
  -F "assetData=@/run/photograph;filename=$begun.jpg" -F fileCreatedAt=2026-01-02T03:04:05.000Z \
  -F fileModifiedAt=2026-01-02T03:04:05.000Z http://127.0.0.1:2283/api/assets)
echo "$begun $(date +%s.%N) $code" >>/run/tried
[ "$code" = 201 ] && echo "$(jq -r .id /run/refused) ${sum%  -}" >>/root/accepted
