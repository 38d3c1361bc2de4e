mkdir -p instance
export AGENT=env
export SERVER='gunicorn -w 2 -b 127.0.0.1:5001 -p instance/gunicorn.pid production:app'
sh run.sh
